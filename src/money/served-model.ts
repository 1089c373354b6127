/**
 * The model that answered, held against the one that was asked for (FAULTS P40): providers name a model by its dated version, behind a
 * path or an alias, and some serve another one instead.
 */

/** A date, a number or a word that says which build of a model it is. */
const build = /[-@:.](\d{2,}([-.]\d+)*|latest|preview|exp|v\d+)$/;

function family(model: string): string {
  let name = model.toLowerCase().slice(model.lastIndexOf("/") + 1);
  while (build.test(name)) name = name.replace(build, "");
  return name;
}

export const isSameModel = (asked: string, answered: string): boolean => asked === answered || family(asked) === family(answered);
