-- The whole queue in order: last session admitted, habit, then told and payload
-- of each ticket. nil when not loaded.
if not is_loaded() then return false end
local out = {
  redis.call('HGET', state, 'last') or '',
  table.concat(redis.call('LRANGE', habit, 0, -1), ','),
}
for _, id in ipairs(redis.call('ZRANGE', order, 0, -1)) do
  local e = entry(id)
  out[#out + 1] = e.told
  out[#out + 1] = e.payload
end
return out
