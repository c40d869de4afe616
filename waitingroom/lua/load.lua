-- Ends a rebuild with the open tickets read from SQL since begin.
-- ARGV: epoch and seq of begin, nonce, marker ttl in ms, time to keep in ms,
-- then id, version, rank, payload of each ticket. Returns 1, or 0 when the
-- content was lost, replaced or doubted since begin.
if epoch() ~= ARGV[1] then return 0 end

-- What was written before begin was committed before SQL was read: SQL says it
-- all, tombstones included. What was written since may be newer than SQL's
-- answer, and stays unless SQL has a later version.
local since = tonumber(ARGV[2])
local told = {}
local ids = redis.call('HKEYS', tickets)
for _, id in ipairs(ids) do
  local e = entry(id)
  if e.seq <= since then
    told[id] = e.told
    redis.call('HDEL', tickets, id)
    redis.call('ZREM', order, id)
  end
end
for i = 6, #ARGV, 4 do
  local id, version = ARGV[i], ARGV[i + 1]
  local e = entry(id)
  if not e or tonumber(version) > e.version then
    put(id, version, ARGV[i + 2], '1', told[id] or (e and e.told) or '0', ARGV[i + 3])
  end
end
count()
redis.call('HSET', state, 'epoch', ARGV[3])
redis.call('SET', loaded, '1', 'PX', ARGV[4])
redis.call('PEXPIRE', order, ARGV[5])
redis.call('PEXPIRE', tickets, ARGV[5])
redis.call('PEXPIRE', state, ARGV[5])
return 1
