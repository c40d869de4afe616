-- The doctor's open pages, on all nodes. A sixth key of the queue, a sorted set
-- by the time until which each page counts: a node that dies stops renewing its
-- own. ARGV: now, until (unix ms), then the ids of pages to note. Returns how
-- many are open.
local pages = KEYS[6]
redis.call('ZREMRANGEBYSCORE', pages, '-inf', ARGV[1])
for i = 3, #ARGV do redis.call('ZADD', pages, ARGV[2], ARGV[i]) end
local open = redis.call('ZCARD', pages)
if open > 0 and #ARGV > 2 then redis.call('PEXPIRE', pages, 24 * 3600 * 1000) end
return open
