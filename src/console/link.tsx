/** Whether the server answers: one quiet word while it does, since when not while it does not. */
import { clock } from "./format.ts";
import { Icon } from "./icons.tsx";

export function Link({ known }: { readonly known: boolean }) {
  return <span className="link">{known ? "Live" : "Connecting…"}</span>;
}

export function Away({ since }: { readonly since: number }) {
  return (
    <p className="away" role="status">
      <Icon name="offline" />
      Disconnected since {clock(since)}
    </p>
  );
}
