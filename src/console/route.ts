/** The address of what is shown. Every view can be opened by it: `/` asks, `/?run=<id>` is a run, `&facts=all` shows every state change. */

export type View = { readonly run: string | null; readonly facts: "main" | "all" };

export function viewOf(search: string): View {
  const query = new URLSearchParams(search);
  return { run: query.get("run") || null, facts: query.get("facts") === "all" ? "all" : "main" };
}

export function addressOf(view: Partial<View>): string {
  const query = new URLSearchParams();
  if (view.run) query.set("run", view.run);
  if (view.facts === "all") query.set("facts", "all");
  const text = query.toString();
  return text === "" ? "./" : `./?${text}`;
}
