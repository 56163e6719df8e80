// Numbers, times and sizes as people read them.

const whole = new Intl.NumberFormat("en");
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const number = (value) => (value === null || value === undefined ? "–" : whole.format(value));

export const counted = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit ? tenth.format(bytes) : bytes} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1e-3) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${tenth.format(seconds * 1e3)} ms`;
  if (seconds < 120) return `${tenth.format(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

const pad = (value, digits = 2) => String(value).padStart(digits, "0");

export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const at = new Date(seconds * 1000);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
}

export function day(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
}

export const moment = (seconds) => (seconds === null || seconds === undefined ? "" : `${day(seconds)} ${clock(seconds)}`);

// A time as somebody types it: "2026-11-27 10:00", "10:00:05" (of the day that is given), or seconds since 1970.
export function parsedTime(text, sameDay) {
  if (/^\d{9,}(\.\d+)?$/.test(text)) return Number(text);
  const full = /^\d{1,2}:\d{2}/.test(text) ? `${sameDay} ${text}` : text;
  const at = Date.parse(full.replace(" ", "T"));
  return Number.isNaN(at) ? null : at / 1000;
}

// A stable colour for a type of message: one of twelve, by its name.
export function hue(name) {
  let sum = 0;
  for (let index = 0; index < name.length; index += 1) sum = (sum * 31 + name.charCodeAt(index)) >>> 0;
  return sum % 12;
}
