-- Notes that an open ticket was sent back, or came from another doctor: its wait
-- says nothing of the doctor's pace. ARGV: id.
if not epoch() then return 0 end
redis.call('HSET', state, 'shift:' .. ARGV[1], '1')
return 1
