-- Takes the next rank: now (ARGV[1], unix microseconds) or one more than the
-- last, whichever is later, so that ranks of one doctor strictly increase over
-- all nodes. Returns rank and epoch; nil when the queue is not loaded.
if not is_loaded() then return false end
local rank = tonumber(ARGV[1])
local last = tonumber(redis.call('HGET', state, 'rank') or '0')
if rank <= last then rank = last + 1 end
local s = string.format('%.0f', rank)
redis.call('HSET', state, 'rank', s)
return { s, redis.call('HGET', state, 'epoch') }
