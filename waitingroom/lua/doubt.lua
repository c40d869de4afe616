-- Makes the next read compare the queue with SQL, and refuses rebuilds that
-- have read SQL already. ARGV: nonce.
redis.call('DEL', loaded)
if epoch() then redis.call('HSET', state, 'epoch', ARGV[1]) end
return 1
