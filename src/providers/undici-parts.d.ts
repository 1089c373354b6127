/**
 * The two parts of undici that the transport uses, under their own paths: importing all of it (fetch, caches, WebSocket, mocks) costs
 * two and a half times as much CPU. undici has no `exports` map, and its version is pinned.
 */
declare module "undici/lib/dispatcher/client.js" {
  import { Client } from "undici";
  export default Client;
}

declare module "undici/lib/core/connect.js" {
  import { buildConnector } from "undici";
  export default buildConnector;
}
