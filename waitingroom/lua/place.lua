-- One ticket's place. ARGV: id. Returns last session admitted, habit, position
-- from 1 (0 when not in the queue), version (0 when unknown), told, queue
-- length, shifted. nil when not loaded.
if not is_loaded() then return false end
local rank = redis.call('ZRANK', order, ARGV[1])
local e = entry(ARGV[1])
return {
  redis.call('HGET', state, 'last') or '',
  table.concat(redis.call('LRANGE', habit, 0, -1), ','),
  rank and string.format('%.0f', rank + 1) or '0',
  e and string.format('%.0f', e.version) or '0',
  e and e.told or '0',
  string.format('%.0f', redis.call('ZCARD', order)),
  redis.call('HGET', state, 'shift:' .. ARGV[1]) or '0',
}
