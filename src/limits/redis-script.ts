/**
 * The one Lua script of the limiter on Redis. A key is a hash of slice → amount and has an expiry; time is the server's.
 *
 * `KEYS[1]` names the era: an id that lives as long as the data does. A process says which era it knew; when that is gone, data was lost
 * (restart, failover, FLUSHALL), and until a window has passed the counts are in doubt: nothing is taken, and the answer says so.
 * A single key that was lost (evicted, deleted) is mended by what the process says it has admitted itself.
 *
 * ARGV: op, era known, era proposed, ms of doubt, then for each further key: limit, windowMs, amount, own (take) or windowMs, at, change (settle).
 * Answer: status (1 admitted, 0 refused, 2 in doubt), era, now, index of the window to wait for, ms to wait, then for each key: remaining, reset.
 */
import { slices } from "./limiter.ts";

export const script = `
local slices = ${slices}
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(n) return string.format("%.0f", n) end

local function keep(key, windowMs)
  redis.call("PEXPIRE", key, text(math.ceil(windowMs + windowMs / slices)))
end

if ARGV[1] == "settle" then
  local windowMs, at, change = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
  local sliceMs = windowMs / slices
  local current, slice = math.floor(now / sliceMs), math.floor(at / sliceMs)
  if slice < current - slices then
    if change < 0 then return 0 end
    slice = current
  end
  local there = tonumber(redis.call("HGET", KEYS[2], text(slice)) or "0")
  redis.call("HSET", KEYS[2], text(slice), text(math.max(0, there + change)))
  keep(KEYS[2], windowMs)
  return 1
end

local known, doubtMs = ARGV[2], tonumber(ARGV[4])
local id, lost = string.match(redis.call("GET", KEYS[1]) or "", "^([^:]+):(%d+)$")
lost = tonumber(lost or "0")
if not id then
  id = ARGV[3]
  lost = known ~= "" and now or 0
elseif known ~= "" and known ~= id and now - lost >= doubtMs then
  lost = now
end
redis.call("SET", KEYS[1], id .. ":" .. text(lost), "PX", text(2 * doubtMs))
if lost > 0 and now - lost < doubtMs then
  return { 2, id, text(now), 0, text(math.ceil(lost + doubtMs - now)) }
end

local windows, worst, wait = {}, 0, 0
for i = 2, #KEYS do
  local arg = 5 + (i - 2) * 4
  local limit, windowMs = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
  local amount, own = tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  local sliceMs = windowMs / slices
  local current = math.floor(now / sliceMs)
  local all, parts, sum, newest = redis.call("HGETALL", KEYS[i]), {}, 0, -1
  for j = 1, #all, 2 do
    local slice, n = tonumber(all[j]), tonumber(all[j + 1])
    if slice < current - slices then
      redis.call("HDEL", KEYS[i], all[j])
    elseif n > 0 then
      parts[#parts + 1] = { slice, n }
      sum = sum + n
      newest = math.max(newest, slice)
    end
  end
  if own > sum then
    redis.call("HINCRBY", KEYS[i], text(current), text(own - sum))
    keep(KEYS[i], windowMs)
    parts[#parts + 1] = { current, own - sum }
    sum, newest = own, current
  end
  local wanted = math.max(1, amount)
  local over = sum + wanted - limit
  if wanted > limit then
    if windowMs + sliceMs > wait then worst, wait = i - 1, windowMs + sliceMs end
  elseif over > 0 then
    table.sort(parts, function(a, b) return a[1] < b[1] end)
    local free = 0
    for _, part in ipairs(parts) do
      over = over - part[2]
      if over <= 0 then
        free = math.max(1, (part[1] + slices + 1) * sliceMs - now)
        break
      end
    end
    if free > wait then worst, wait = i - 1, free end
  end
  windows[i - 1] = { limit, windowMs, amount, sum, newest, current }
end

local answer = { worst == 0 and 1 or 0, id, text(now), worst, text(math.ceil(wait)) }
for i, window in ipairs(windows) do
  local limit, windowMs, amount, sum, newest, current = unpack(window)
  if worst == 0 and amount > 0 then
    redis.call("HINCRBY", KEYS[i + 1], text(current), text(amount))
    keep(KEYS[i + 1], windowMs)
    sum, newest = sum + amount, current
  end
  answer[#answer + 1] = text(math.max(0, limit - sum))
  answer[#answer + 1] = newest < 0 and "0" or text(math.ceil((newest + slices + 1) * windowMs / slices - now))
end
return answer
`;
