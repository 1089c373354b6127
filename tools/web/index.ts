/** Tool group `web`: pages as text, and a search where an endpoint is configured. Both are text from outside: `untrusted`. */
import type { Tool } from "../../src/runtime/tool.ts";
import { type Egress, egress } from "../../src/safety/egress.ts";
import { fetchPage } from "./fetch-page.ts";
import { type SearchEndpoint, webSearch } from "./web-search.ts";

export type WebOptions = {
  /** Without it there is no `web_search`. */
  readonly search?: SearchEndpoint;
  /** The door that pages are fetched through; one that lets nothing inside through. */
  readonly egress?: Egress;
};

export type { SearchEndpoint };

/** Throws `invalid_request` for an endpoint that cannot be one. */
export function web({ search, egress: door = egress() }: WebOptions = {}): readonly Tool[] {
  return [fetchPage(door), ...(search ? [webSearch(search)] : [])];
}
