-- Lead no more. ARGV: prefix, name, token.
local current = redis.call('HGET', key('leaders'), ARGV[2])
if current and string.match(current, ':(%S*) ') == ARGV[3] then return redis.call('HDEL', key('leaders'), ARGV[2]) end
return 0
