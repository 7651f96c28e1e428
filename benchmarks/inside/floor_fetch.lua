-- KEYS: the queue, the list of leased messages. ARGV: how many. Returns the messages, oldest first.
local batch = redis.call('RPOP', KEYS[1], ARGV[1])
if not batch then
    return {}
end
redis.call('RPUSH', KEYS[2], unpack(batch))
return batch
