// The strip above the messages: how many, how fast, how slow, over the whole run or a part of it. Drag to look closer.
import { get } from "./api.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { clock, day, number } from "./format.js";
import uPlot from "./vendor/uplot.js";

const HEIGHT = 84;

export function Strip({ subject, position, onMove, theme }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [range, setRange] = useState(null); // [from, to] in positions; null for all
  const [data, setData] = useState(null);
  const [problem, setProblem] = useState(null);
  const shown = useRef({});
  shown.current = { position, onMove, setRange, data };

  useEffect(() => { setRange(null); }, [subject?.id]);
  const end = subject ? (range ? range[1] : coarse(subject)) : 0;
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
    if (!data) return undefined;
    const made = new uPlot(options(box.current, shown), series(data), box.current);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: box.current.clientWidth, height: HEIGHT }));
    watch.observe(box.current);
    return () => { watch.disconnect(); made.destroy(); plot.current = null; };
  }, [data, theme]);

  useEffect(() => { plot.current?.redraw(false); }, [position]);

  if (!subject) return null;
  return html`<section class="strip" aria-label="All messages at a glance">
    <div class="plot" ref=${box} role="img" aria-label=${data ? described(data) : "No messages yet"}></div>
    <div class="under quiet">
      <span>${data && data.time?.[0] ? `${day(data.time[0])} ${clock(data.time[0])}` : ""}</span>
      <span class="legend"><i class="count"></i> messages <i class="slow"></i> slow <i class="failed"></i> failed</span>
      ${range
        ? html`<button class="plain" onClick=${() => setRange(null)}>show all</button>`
        : html`<span>drag to zoom in</span>`}
    </div>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
  </section>`;
}

// A live end moves all the time; the strip is drawn again for each twentieth that it has grown.
const coarse = (subject) => Math.floor((Math.log(Math.max(subject.end - subject.first, 1)) / Math.log(1.05)));

const series = (data) => [data.position, data.count, data.slow, data.failed];

function described(data) {
  const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
  return `${number(sum(data.count))} messages from position ${number(data.from)} to ${number(data.to)}, ` +
    `${number(sum(data.slow))} slow, ${number(sum(data.failed))} failed`;
}

function options(element, shown) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const bars = uPlot.paths.bars({ size: [1, 100], align: 1, gap: 0 });
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
            const from = Math.round(plot.posToVal(left, "x"));
            const to = Math.round(plot.posToVal(left + width, "x"));
            if (to > from + 1) shown.current.setRange([from, to]);
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          } else if (event.button === 0) {
            shown.current.onMove(Math.round(plot.posToVal(plot.cursor.left, "x")));
          }
          return handle(event);
        },
      },
    },
    scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(most, 1)] } },
    axes: [
      { stroke: colour("--quiet"), grid: { show: false }, ticks: { show: false }, size: 22, font: "11px system-ui", values: (_, marks) => marks.map((each) => number(each)) },
      { show: false },
    ],
    series: [{}, bar("messages", colour("--bar")), bar("slow", colour("--slow")), bar("failed", colour("--failed"))],
    hooks: {
      draw: [
        (plot) => {
          const { position } = shown.current;
          const left = plot.valToPos(position, "x", true);
          const { ctx, bbox } = plot;
          if (left < bbox.left - 1 || left > bbox.left + bbox.width + 1) return;
          ctx.save();
          ctx.fillStyle = colour("--accent");
          ctx.fillRect(Math.round(left) - 1, bbox.top, 2 * devicePixelRatio, bbox.height);
          ctx.restore();
        },
      ],
    },
  };
}
