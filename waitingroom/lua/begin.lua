-- Begins a rebuild, before SQL is read. ARGV: nonce, time to keep in ms.
-- Returns epoch and seq.
local e = epoch()
if not e then
  wipe()
  e = ARGV[1]
  redis.call('HSET', state, 'epoch', e, 'seq', 0, 'rank', 0)
  count()
  redis.call('PEXPIRE', state, ARGV[2])
end
return { e, redis.call('HGET', state, 'seq') }
