/** One run, followed for as long as it is shown. */
import { useEffect, useState, useSyncExternalStore } from "react";
import { type Followed, RunFollower } from "./run-follower.ts";
import { emptyRun } from "./run-view.ts";
import { handleOf } from "./server.ts";

const opening: Followed = { view: emptyRun, historyEnd: null, refused: null, cutSince: null };
const stillOpening = (): Followed => opening;
const nothing = (): (() => void) => () => {};

export function useRun(id: string): Followed & { readonly follower: RunFollower | null } {
  const [follower, setFollower] = useState<RunFollower | null>(null);
  useEffect(() => {
    const { handle, isFresh } = handleOf(id);
    const started = new RunFollower(handle, isFresh);
    setFollower(started);
    return () => started.close();
  }, [id]);
  const followed = useSyncExternalStore(follower?.subscribe ?? nothing, follower?.snapshot ?? stillOpening);
  return { ...followed, follower };
}
