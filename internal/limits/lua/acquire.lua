-- Decides about one request of one key, and counts it.
--
-- KEYS: minute (list: microseconds of each request let through, oldest first),
--       day (hash: day, n), slots (sorted set: lease id by expiry in microseconds)
-- ARGV: 1 per minute, 2 per day, 3 concurrent (0: unlimited), 4 lease time in
--       microseconds, 5 lease id, 6 and 7 a day and its count that the node has
--       seen, 8 and 9 a day and how many it let through without us
-- Returns: reason of a refusal (0 none, 1 minute, 2 day, 3 concurrency), now,
--       used in the minute, when the minute has more to give, used in the day,
--       the day, slots taken.
--
-- A call whose answer was lost comes again with the same lease: it is answered
-- and not counted twice.
local minute, day, slots = KEYS[1], KEYS[2], KEYS[3]
local per_minute, per_day, concurrent = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ttl, lease = tonumber(ARGV[4]), ARGV[5]

local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local today = math.floor(now / 86400000000)
local function int(n) return string.format('%.0f', n) end

local again = concurrent > 0 and redis.call('ZSCORE', slots, lease)

local stored = redis.call('HMGET', day, 'day', 'n')
local used_day = 0
if stored[1] and tonumber(stored[1]) == today then used_day = tonumber(stored[2]) end
local before = used_day
if tonumber(ARGV[6]) == today then used_day = math.max(used_day, tonumber(ARGV[7])) end
if not again and tonumber(ARGV[8]) == today then used_day = used_day + tonumber(ARGV[9]) end

local used_minute = 0
if per_minute > 0 then
  local newest = redis.call('LINDEX', minute, -1)
  if newest and (tonumber(newest) <= now - 60000000 or tonumber(newest) > now + 60000000) then
    redis.call('DEL', minute) -- all of it is old, or the clock went back
  elseif newest then
    while tonumber(redis.call('LINDEX', minute, 0)) <= now - 60000000 do
      redis.call('LPOP', minute)
    end
    used_minute = redis.call('LLEN', minute)
  end
end

local used_slots = 0
if concurrent > 0 then
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', int(now))
  used_slots = redis.call('ZCARD', slots)
end

local refused = 0
if not again then
  if per_day > 0 and used_day >= per_day then
    refused = 2
  elseif per_minute > 0 and used_minute >= per_minute then
    refused = 1
  elseif concurrent > 0 and used_slots >= concurrent then
    refused = 3
  else
    used_day = used_day + 1
    if per_minute > 0 then
      redis.call('RPUSH', minute, int(now))
      redis.call('PEXPIRE', minute, 61000)
      used_minute = used_minute + 1
    end
    if concurrent > 0 then
      redis.call('ZADD', slots, int(now + ttl), lease)
      redis.call('PEXPIRE', slots, int(math.ceil(ttl / 1000) + 1000))
      used_slots = used_slots + 1
    end
  end
end
if used_day ~= before then
  redis.call('HSET', day, 'day', int(today), 'n', int(used_day))
  redis.call('EXPIRE', day, 90000)
end

local following = now + 60000000
if used_minute > 0 then
  -- With a limit that was lowered, more than it may be in the list.
  following = tonumber(redis.call('LINDEX', minute, math.max(0, used_minute - per_minute))) + 60000000
end
return { refused, now, used_minute, following, used_day, today, used_slots }
