/**
 * The name under which a process owns runs, and whether the process behind such a name is gone: `host:pid:place:started:random`.
 *
 * A host's name and a pid do not name a process: two containers on one volume may have both the same. So a name says where its pid
 * means something (`place`: this boot of this kernel, and its pid namespace) and when the process started (pids come again).
 *
 *  1. `isGone` is true only when it is sure: same place, and no such process there. All else is left to the end of the lease.
 *  2. Where the place cannot be told (anything but Linux, no `/proc`, one of another namespace), no name is ever said to be gone.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { nanoid } from "nanoid";

const place = placeOfThisProcess();

/** Unique; of this process. */
export const newProcessName = (): string =>
  [hostname().replaceAll(":", "-"), process.pid, place ?? "", startOf(process.pid) ?? "", nanoid(8)].join(":");

export function isGone(name: string): boolean {
  const [, pid, itsPlace, started] = name.split(":");
  if (place === null || itsPlace !== place || !started) return false;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    // EPERM: it is another user's.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return true;
  }
  // Another user's process may be hidden from us; then nothing is known.
  const now = startOf(Number(pid));
  return now !== null && now !== started;
}

function placeOfThisProcess(): string | null {
  try {
    // A `/proc` of another pid namespace numbers processes otherwise.
    if (readlinkSync("/proc/self") !== String(process.pid)) return null;
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const namespace = /^pid:\[(\d+)\]$/.exec(readlinkSync("/proc/self/ns/pid"))?.[1];
    return boot !== "" && namespace !== undefined ? `${boot}.${namespace}` : null;
  } catch {
    return null;
  }
}

/** In clock ticks since the boot: field 22 of `/proc/<pid>/stat` (proc_pid_stat(5)); the second, in brackets, may hold anything. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
