/** `escapement/client`: everything a program needs to talk to a server. */
export {
  type AgentDescription,
  type Client,
  type ClientOptions,
  type ConnectionState,
  connect,
  EscapementError,
  type WebSocketConstructor,
} from "./client.ts";
