-- Whether this server, and this user, can do all that the scripts do: one that cannot would fail in the middle of a script,
-- with a message taken and nowhere put. ARGV: prefix. Returns 1, or 0 for a server that is too old; an error is the user's.
-- Nothing of it lasts.
relieve()
local trial, other = key('nothing'), key('nothing-else')
for _, words in ipairs({
    {'LPUSH', trial, 'x'}, {'RPUSH', trial, 'x'}, {'LRANGE', trial, 0, -1}, {'LLEN', trial}, {'LREM', trial, 1, 'x'}, {'LPOS', trial, 'x'}, {'RPOP', trial, 1}, {'LPOP', trial},
    {'SET', trial, 1, 'KEEPTTL'}, {'GET', trial}, {'GETRANGE', trial, 0, 1}, {'MGET', trial}, {'INCR', trial}, {'INCRBY', trial, 1}, {'EXPIRE', trial, 9},
    {'PEXPIRE', trial, 9000}, {'PTTL', trial}, {'EXISTS', trial}, {'DEL', trial},
    {'HSET', trial, 'x', 1}, {'HSETNX', trial, 'x', 1}, {'HGET', trial, 'x'}, {'HMGET', trial, 'x'}, {'HGETALL', trial}, {'HKEYS', trial}, {'HVALS', trial},
    {'HLEN', trial}, {'HRANDFIELD', trial}, {'HEXISTS', trial, 'x'}, {'HINCRBY', trial, 'x', 1}, {'HDEL', trial, 'x'},
    {'SADD', other, 'x'}, {'SISMEMBER', other, 'x'}, {'DEL', other},
    {'ZADD', other, 1, 'x'}, {'ZSCORE', other, 'x'}, {'ZCARD', other}, {'ZCOUNT', other, 0, 1}, {'ZRANGE', other, 0, 0}, {'ZRANGEBYSCORE', other, 0, 0}, {'ZREM', other, 'y'},
    {'ZREMRANGEBYSCORE', other, 0, 1}, {'DEL', other}, {'XADD', other, '*', 'x', 1}, {'XLEN', other}, {'XRANGE', other, '-', '+'}, {'XTRIM', other, 'MINID', 1}, {'DEL', other}, {'PUBLISH', trial, ''}, {'TIME'}, {'DEL', other},
}) do
    local answer = redis.pcall(unpack(words))
    if type(answer) == 'table' and answer.err then
        redis.call('DEL', trial, other)
        if string.find(answer.err, 'rong number of arg', 1, true) or string.find(answer.err, 'nknown', 1, true) then return 0 end
        return answer
    end
end
return 1
