-- Applies a committed ticket. ARGV: epoch noted before the ticket was written
-- or read ('' for none), id, version, rank, open, payload, session admitted (''
-- for none), pickup in ms ('' for none). Returns what became of it, and the epoch.
local now = epoch()
-- Nothing loaded and no rebuild begun: the next one reads this commit.
if not now then return { 'absent', '' } end

local id, version, open = ARGV[2], ARGV[3], ARGV[5]
local old = entry(id)
if old and tonumber(version) <= old.version then return { 'old', now } end
if not old and open == '1' and ARGV[1] ~= now then
  -- An unknown open ticket, and a rebuild may have happened since: it was too
  -- early to see the ticket, or it saw that the ticket had closed. The caller
  -- reads the ticket again and applies it with the epoch returned here.
  return { 'unsure', now }
end
put(id, version, ARGV[4], open, old and old.told or '0', ARGV[6])
count()
if open == '0' then redis.call('HDEL', state, 'shift:' .. id) end
if ARGV[7] ~= '' then redis.call('HSET', state, 'last', ARGV[7]) end
if ARGV[8] ~= '' then
  redis.call('LPUSH', habit, ARGV[8])
  redis.call('LTRIM', habit, 0, 29)
  redis.call('PEXPIRE', habit, 30 * 24 * 3600 * 1000)
end
return { 'applied', now }
