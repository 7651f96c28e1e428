-- Begin a batch. ARGV: prefix, id, name, allowed, share, owner, opener, then its callbacks as pairs of kind and messages
-- (MessagePack). Returns 0 if it is there already.
local batch = ARGV[2]
local about = key('batch:' .. batch)
if redis.call('EXISTS', about) == 1 then return 0 end
local at = now()
redis.call('HSET', about, 'name', ARGV[3], 'allowed', ARGV[4], 'share', ARGV[5], 'owner', ARGV[6], 'opener', ARGV[7], 'closed', 0,
    'cancelled', 0, 'total', 0, 'done', 0, 'failed', 0, 'gone', 0, 'fired', '', 'created', at, 'updated', at)
for number = 8, #ARGV, 2 do redis.call('HSET', about, ARGV[number], ARGV[number + 1]) end
redis.call('ZADD', key('batches'), at, batch)
redis.call('ZADD', key('batches:open'), at, batch)
keep_counter('batch:' .. batch, OPEN_BATCH)
return 1
