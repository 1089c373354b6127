/** What was asked, by run: events do not repeat the input, so this tab remembers what it sent. At most 50, the oldest go first. */

const name = "escapement.prompts";
const most = 50;

function all(): readonly (readonly [id: string, prompt: string])[] {
  try {
    return JSON.parse(sessionStorage.getItem(name) ?? "[]") as [string, string][];
  } catch {
    return [];
  }
}

export const promptOf = (id: string): string | null => all().find(([run]) => run === id)?.[1] ?? null;

export function rememberPrompt(id: string, prompt: string): void {
  try {
    sessionStorage.setItem(name, JSON.stringify([[id, prompt], ...all()].slice(0, most)));
  } catch {
    // A full or forbidden storage only costs the echo of the question.
  }
}
