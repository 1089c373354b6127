/** The provider of the offline server: OpenAI's wire under the name `offline`. It needs no key and its data stays here. */
import { openai } from "../providers/openai.ts";
import type { Provider } from "../providers/provider.ts";

export type { Offline, OfflineOptions } from "./server.ts";
export { startOffline } from "./server.ts";

/** `url` is the one of `startOffline()`. The model is called `scripted`; a price of 0 is the truth. */
export const offline = ({ url }: { readonly url: string }): Provider =>
  openai({ baseURL: url, name: "offline", selfHosted: true, tokenizer: { encoding: "bytes", margin: 0 } });
