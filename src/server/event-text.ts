/**
 * An event as text, made once however many clients read it: as JSON, and as a whole WebSocket frame.
 * Line separators that JSON leaves alone are escaped, so that one event is one line to everyone who splits lines.
 */
import type { Event } from "../protocol/events.ts";

const texts = new WeakMap<Event, string>();
const frames = new WeakMap<Event, Buffer>();

export function eventText(event: Event): string {
  let text = texts.get(event);
  if (text === undefined) {
    text = oneLine(JSON.stringify(event));
    texts.set(event, text);
  }
  return text;
}

/** `{"type":"event","event":…}` as an unmasked, unfragmented text frame (RFC 6455, 5.2), ready for the wire. */
export function eventFrame(event: Event): Buffer {
  let frame = frames.get(event);
  if (frame === undefined) {
    frame = textFrame(`{"type":"event","event":${oneLine(JSON.stringify(event))}}`);
    frames.set(event, frame);
  }
  return frame;
}

export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(header + length);
  frame[0] = 0x81;
  if (header === 2) {
    frame[1] = length;
  } else if (header === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt16BE(0, 2);
    frame.writeUIntBE(length, 4, 6);
  }
  frame.write(text, header);
  return frame;
}

function oneLine(text: string): string {
  return /[\u2028\u2029]/.test(text) ? text.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029") : text;
}
