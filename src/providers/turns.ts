/** Messages of wires that alternate between two roles: consecutive messages of a role are one turn, as all results of a step must be. */

/** A message's blocks, written as JSON without the brackets of their list. No role: the message is told elsewhere. */
export type Turn = { readonly role: string | undefined; readonly blocks: string };

/** The members of the list of messages; `list` is the name that the wire gives the list of blocks. */
export function joinTurns(turns: readonly Turn[], list: "content" | "parts"): string {
  let joined = "";
  let role: string | undefined;
  for (const turn of turns) {
    if (turn.role === undefined || turn.blocks === "") continue;
    if (turn.role === role) joined += `,${turn.blocks}`;
    else {
      joined += `${role === undefined ? "" : "]},"}{"role":"${turn.role}","${list}":[${turn.blocks}`;
      role = turn.role;
    }
  }
  return role === undefined ? "" : `${joined}]}`;
}
