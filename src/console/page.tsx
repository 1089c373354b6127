/** The frame: runs on the left, and beside them either the question to ask or the run that is open. */
import { useEffect, useSyncExternalStore } from "react";
import { AskPage } from "./ask-page.tsx";
import { KeyPage } from "./key-page.tsx";
import { Away, Link } from "./link.tsx";
import { RunPage } from "./run-page.tsx";
import { isScripted } from "./run-view.ts";
import { runsFeed } from "./runs-feed.ts";
import { RunsList } from "./runs-list.tsx";
import { useAgents } from "./use-agents.ts";
import { follow, useRoute } from "./use-route.ts";

export function Page() {
  const route = useRoute();
  const feed = useSyncExternalStore(runsFeed.subscribe, runsFeed.snapshot);
  const agents = useAgents(feed.awaySince !== null);
  useEffect(() => {
    if (route.run === null) document.title = "Escapement";
  }, [route.run]);

  if (feed.error?.code === "unauthenticated") return <KeyPage message={feed.error.message} />;
  const scripted = agents.agents?.some((agent) => agent.tiers?.some(isOfflineTier)) ?? false;
  const known = feed.runs?.find((run) => run.id === route.run) ?? null;
  return (
    <div className={route.run === null ? "frame frame-home" : "frame frame-run"}>
      <a className="skip" href="#main">
        {route.run === null ? "Skip to the question" : "Skip to the run"}
      </a>
      <aside className="rail" aria-label="Runs">
        <header className="rail-head">
          <a className="brand" href="./" onClick={follow({})}>
            Escapement
          </a>
          {feed.awaySince === null && <Link known={feed.runs !== null} />}
        </header>
        {feed.awaySince !== null && <Away since={feed.awaySince} />}
        <RunsList feed={feed} open={route.run} />
      </aside>
      <main id="main" tabIndex={-1}>
        {route.run === null ? (
          <AskPage agents={agents} scripted={scripted || (feed.runs?.some((run) => isScripted(run.tier)) ?? false)} />
        ) : (
          <RunPage
            key={route.run}
            id={route.run}
            facts={route.facts}
            known={known}
            agents={agents}
            awaySince={feed.awaySince}
            scripted={scripted}
          />
        )}
      </main>
    </div>
  );
}

/** Tiers come as names or as objects with a name. */
function isOfflineTier(tier: unknown): boolean {
  if (typeof tier === "string") return isScripted(tier);
  if (typeof tier !== "object" || tier === null) return false;
  const { name, provider, model } = tier as { readonly name?: string; readonly provider?: string; readonly model?: string };
  return isScripted(name, model) || isScripted(provider);
}
