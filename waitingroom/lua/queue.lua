-- Shared by every script of the waiting room, put in front of it.
--
-- One doctor's queue is five keys in one hash slot:
--   order    sorted set: open tickets by rank
--   tickets  hash: ticket id -> "version seq open told payload"; a ticket that
--            has closed stays as a tombstone until the next load
--   state    hash: epoch, seq, rank (highest given), open and entries (how many
--            members order and tickets should have), last (session admitted last),
--            shift:<id> (a ticket whose wait is no measure)
--   loaded   marker: the queue was compared with the SQL store lately
--   habit    list: how long the free doctor took to admit, milliseconds
--
-- epoch changes whenever the content is replaced or doubted. A rebuild notes it
-- before reading SQL and is refused when it has changed; so is the insertion of
-- an unknown ticket. seq numbers every write, so that a rebuild knows which
-- entries may be newer than what it read.
local order, tickets, state, loaded, habit = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local function wipe()
  redis.call('DEL', order, tickets, state, loaded)
end

-- epoch is nil when nothing usable is there. Redis may evict or expire one key
-- of the queue and keep the others; the counts in state show it.
local function epoch()
  local s = redis.call('HMGET', state, 'epoch', 'open', 'entries')
  if not s[1] then return nil end
  if redis.call('ZCARD', order) ~= tonumber(s[2]) or redis.call('HLEN', tickets) ~= tonumber(s[3]) then
    wipe()
    return nil
  end
  return s[1]
end

local function count()
  redis.call('HSET', state, 'open', redis.call('ZCARD', order), 'entries', redis.call('HLEN', tickets))
end

local function is_loaded()
  return epoch() ~= nil and redis.call('EXISTS', loaded) == 1
end

local function entry(id)
  local raw = redis.call('HGET', tickets, id)
  if not raw then return nil end
  local version, seq, open, told, payload = string.match(raw, '^(%d+) (%d+) (%d) (%d) (.*)$')
  return { version = tonumber(version), seq = tonumber(seq), open = open, told = told, payload = payload }
end

local function write(id, version, seq, open, told, payload)
  redis.call('HSET', tickets, id, version .. ' ' .. seq .. ' ' .. open .. ' ' .. told .. ' ' .. payload)
end

-- put stores a ticket; version and rank are decimal strings, exact below 2^53.
local function put(id, version, rank, open, told, payload)
  local seq = redis.call('HINCRBY', state, 'seq', 1)
  write(id, version, string.format('%.0f', seq), open, told, payload)
  if open == '1' then
    redis.call('ZADD', order, rank, id)
    local last = tonumber(redis.call('HGET', state, 'rank') or '0')
    if tonumber(rank) > last then redis.call('HSET', state, 'rank', rank) end
  else
    redis.call('ZREM', order, id)
  end
end
