-- Commands without which nobody could work off what waits: they are obeyed also when the memory is full.
-- ARGV: prefix, MessagePack [[word, …], …]. Returns the last one's answer.
relieve()
local answer
for _, words in ipairs(cmsgpack.unpack(ARGV[2])) do answer = redis.call(unpack(words)) end
return answer
