/**
 * The server's own numbers as Prometheus text (exposition format 0.0.4). Only what the server knows itself; the runtime's metrics are
 * not here.
 */
const described = {
  escapement_websocket_connections: ["gauge", "Open WebSocket connections."],
  escapement_websocket_subscriptions: ["gauge", "Runs that WebSocket connections are subscribed to."],
  escapement_event_streams: ["gauge", "Open server-sent event streams."],
  escapement_http_requests_in_flight: ["gauge", "HTTP requests that have no complete answer yet, event streams included."],
  escapement_http_responses_total: ["counter", "HTTP responses since the start of the process."],
  escapement_websocket_frames_total: ["counter", "Frames received on WebSocket connections."],
  escapement_websocket_slow_readers_total: ["counter", "WebSocket connections closed because they took nothing."],
} as const satisfies Record<string, readonly [type: "gauge" | "counter", help: string]>;

export type GaugeName = keyof typeof described;

export class Gauges {
  readonly #values = new Map<GaugeName, number>();

  add(name: GaugeName, change = 1): void {
    this.#values.set(name, (this.#values.get(name) ?? 0) + change);
  }

  read(name: GaugeName): number {
    return this.#values.get(name) ?? 0;
  }

  text(more: { readonly [name: string]: readonly [help: string, value: number] } = {}): string {
    const lines: string[] = [];
    for (const [name, [type, help]] of Object.entries(described)) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name} ${this.read(name as GaugeName)}`);
    }
    for (const [name, [help, value]] of Object.entries(more)) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${name} ${value}`);
    }
    return `${lines.join("\n")}\n`;
  }
}
