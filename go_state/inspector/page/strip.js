// The strip above the messages: how many, how fast, how slow, over the whole run or a part of it. Drag to look closer.
import { get } from "./api.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { useNowAndThen } from "./live.js";
import { clock, day, number } from "./format.js";
import uPlot from "./vendor/uplot.js";

const HEIGHT = 84;
const AGAIN = 2000; // milliseconds between two drawings while the end moves: all messages are looked at for one

export function Strip({ subject, isLoading, position, onMove, theme, said }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [range, setRange] = useState(null); // [from, to] in positions; null for all
  const [data, setData] = useState(null);
  const [problem, setProblem] = useState(null);
  const shown = useRef({});
  shown.current = { position, onMove, setRange, data, places: data?.position ?? [] };

  useEffect(() => { setRange(null); }, [subject?.id]);
  const newest = useNowAndThen(subject?.end ?? 0, AGAIN, `${subject?.id} ${subject?.end > subject?.first}`); // the first ones at once
  const end = range ? range[1] : newest;
  useEffect(() => {
    if (!subject || subject.end <= subject.first) {
      setData(null);
      return undefined;
    }
    const control = new AbortController();
    get(`s/${subject.id}/strip`, { from: range?.[0] ?? subject.first, to: range?.[1] ?? subject.end, buckets: 400 }, control.signal)
      .then((found) => { setData(found); setProblem(null); })
      .catch((error) => { if (error.name !== "AbortError") setProblem(error.message); });
    return () => control.abort();
  }, [subject?.id, end, range, subject?.indexed]);

  useEffect(() => {
    const element = box.current;
    if (!data || !element) return undefined;
    const made = new uPlot(options(element, shown), series(data), element);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    watch.observe(element);
    return () => { watch.disconnect(); made.destroy(); plot.current = null; };
  }, [data, theme]);

  useEffect(() => { plot.current?.redraw(false); }, [position]);

  if (!subject && !isLoading) return null;
  return html`<section class="strip" aria-label="All messages at a glance">
    <div class="plot" ref=${box} role="img" aria-label=${data ? described(data) : "No messages yet"}></div>
    <div class="under quiet">
      <span>${data && data.time?.[0] ? `${day(data.time[0])} ${clock(data.time[0])}` : ""}</span>
      <span class="legend"><i class="count"></i> messages <i class="slow"></i> slow <i class="failed"></i> failed</span>
      ${range
        ? html`<button class="plain" onClick=${() => setRange(null)}>show all</button>`
        : html`<span>drag to zoom in</span>`}
    </div>
    ${said(problem) && html`<p class="problem" role="alert">${problem}</p>`}
  </section>`;
}

// The bars are stretches of time: of equal length, and so the higher the more messages there were. They are drawn by their number.
// What is few beside the highest bar is drawn high enough to be seen, and what is slow or failed to be noticed.
function series(data) {
  const most = Math.max(...data.count, 1);
  const seen = (share) => (value) => (value ? Math.max(value, most * share) : value);
  return [data.position.map((_, index) => index), data.count.map(seen(0.04)), data.slow.map(seen(0.2)), data.failed.map(seen(0.2))];
}

// The number of the bar that a position is in, and the position at which a bar begins.
function barOf(places, position) {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle] <= position) low = middle + 1;
    else high = middle;
  }
  return Math.max(low - 1, 0);
}

const placeOf = (data, bar) => data.position[Math.min(Math.max(Math.floor(bar), 0), data.position.length - 1)];

function label(data, bar) {
  const bars = data?.position.length ?? 0;
  if (!Number.isInteger(bar) || bar < bars * 0.03 || bar >= bars) return ""; // one at the edge would be cut
  if (!data.time) return number(data.position[bar]);
  const span = data.time[data.time.length - 1] - data.time[0]; // seconds
  if (span > 172800) return day(data.time[bar]).slice(5);
  return span < 10 ? clock(data.time[bar]).slice(3) : clock(data.time[bar]).slice(0, 8);
}

function described(data) {
  const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
  return `${number(sum(data.count))} messages from position ${number(data.from)} to ${number(data.to)}, ` +
    `${number(sum(data.slow))} slow, ${number(sum(data.failed))} failed`;
}

function options(element, shown) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const bars = uPlot.paths.bars({ size: [1, 10_000], align: 1, gap: 0 });
  const bar = (name, fill) => ({ label: name, fill, width: 0, points: { show: false }, paths: bars });
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [6, 8, 0, 8],
    legend: { show: false },
    cursor: {
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false },
      bind: {
        mouseup: (plot, _, handle) => (event) => {
          const { left, width } = plot.select;
          if (width > 4) {
            const { data } = shown.current;
            const end = Math.ceil(plot.posToVal(left + width, "x"));
            const from = placeOf(data, plot.posToVal(left, "x"));
            const to = end >= data.position.length ? data.to : placeOf(data, end);
            if (to > from + 1) shown.current.setRange([from, to]);
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          } else if (event.button === 0) {
            shown.current.onMove(placeOf(shown.current.data, plot.posToVal(plot.cursor.left, "x")));
          }
          return handle(event);
        },
      },
    },
    scales: { x: { time: false, range: (plot) => [0, Math.max(shown.current.places.length, 1)] }, y: { range: (_, __, most) => [0, Math.max(most, 1)] } },
    axes: [
      { stroke: colour("--quiet"), grid: { show: false }, ticks: { show: false }, size: 22, font: "11px system-ui", space: 90, values: (_, marks) => marks.map((each) => label(shown.current.data, each)) },
      { show: false },
    ],
    series: [{}, bar("messages", colour("--bar")), bar("slow", colour("--slow")), bar("failed", colour("--failed"))],
    hooks: {
      draw: [
        (plot) => {
          const { position, places, data } = shown.current;
          const { ctx, bbox } = plot;
          if (!data || position < data.from || position >= data.to) return;
          const left = plot.valToPos(barOf(places, position) + 0.5, "x", true);
          ctx.save();
          ctx.fillStyle = colour("--accent");
          ctx.fillRect(Math.round(left) - 1, bbox.top, 2 * devicePixelRatio, bbox.height);
          ctx.restore();
        },
      ],
    },
  };
}
