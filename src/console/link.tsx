/** Whether the server answers: one quiet word while it does, since when not while it does not. */
import { clock } from "./format.ts";
import { Icon } from "./icons.tsx";

export function Link({ awaySince, known }: { readonly awaySince: number | null; readonly known: boolean }) {
  if (awaySince !== null) {
    return (
      <span className="link link-away" role="status">
        <Icon name="offline" />
        Disconnected since {clock(awaySince)}
      </span>
    );
  }
  return (
    <span className="link" role="status">
      {known ? "Live" : "Connecting…"}
    </span>
  );
}
