-- Renews the leases of requests under way and counts what a node let through
-- without us. Keys as in acquire.lua.
-- ARGV: 1 lease time in microseconds, 2 and 3 a day and its count that the node
--       has seen, 4 and 5 a day and how many it let through without us, then the
--       lease ids, which may be new to us.
-- Returns: the day and how much of it is used.
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local today = math.floor(now / 86400000000)
local ttl = tonumber(ARGV[1])
local function int(n) return string.format('%.0f', n) end

local stored = redis.call('HMGET', KEYS[2], 'day', 'n')
local used = 0
if stored[1] and tonumber(stored[1]) == today then used = tonumber(stored[2]) end
local before = used
if tonumber(ARGV[2]) == today then used = math.max(used, tonumber(ARGV[3])) end
if tonumber(ARGV[4]) == today then used = used + tonumber(ARGV[5]) end
if used ~= before then
  redis.call('HSET', KEYS[2], 'day', int(today), 'n', int(used))
  redis.call('EXPIRE', KEYS[2], 90000)
end

for i = 6, #ARGV do
  redis.call('ZADD', KEYS[3], int(now + ttl), ARGV[i])
end
if #ARGV > 5 then redis.call('PEXPIRE', KEYS[3], int(math.ceil(ttl / 1000) + 1000)) end
return { today, used }
