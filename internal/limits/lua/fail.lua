-- Counts one failed key from one network; the rule is failures.add in failed.go.
-- KEYS: hash level, at, strikes, until (times in microseconds)
-- ARGV: 1 free, 2 leak, 3 first wait, 4 longest wait, 5 forget; all but the first
--       in microseconds
-- Returns: microseconds until the network is heard again, 0 for at once.
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local free, leak, first, longest, forget =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local function int(n) return string.format('%.0f', n) end

local f = redis.call('HMGET', KEYS[1], 'level', 'at', 'strikes', 'until')
local level, at = tonumber(f[1] or '0'), tonumber(f[2] or '0')
local strikes, hold = tonumber(f[3] or '0'), tonumber(f[4] or '0')
if now < hold then return { hold - now } end -- counted by the node that heard it first
level = math.max(0, level - math.max(0, now - at) / leak) + 1
if level > free then
  strikes = strikes + 1
  hold = now + math.min(first * 2 ^ (strikes - 1), longest)
end
redis.call('HSET', KEYS[1], 'level', string.format('%.6f', level), 'at', int(now), 'strikes', int(strikes), 'until', int(hold))
redis.call('PEXPIRE', KEYS[1], int(math.ceil(forget / 1000)))
return { math.max(0, hold - now) }
