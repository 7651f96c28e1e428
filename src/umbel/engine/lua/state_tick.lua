-- A schedule entry's tick: its messages into the outbox, and the fact that it has run, in one step.
-- ARGV: prefix, leaders' name, term, entry, last run, runs, MessagePack [[list, body, priority, id, info, due, once, name of
-- its key or "", milliseconds, until its start (0 or 1)], …].
-- Returns [0] if another one leads by now, else 1 and the messages' numbers, 0 for one whose key is taken; none if this very tick was stored before.
local name, term, entry, last_run, runs = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local current = redis.call('HGET', key('leaders'), name)
if not current or string.match(current, '^%S+') ~= term then return {0} end
local known = redis.call('HGET', key('ticks'), entry)
if known and tonumber(string.match(known, '%d+$')) >= tonumber(runs) then return {1} end
local at = now()
local answer = {1}
for _, message in ipairs(cmsgpack.unpack(ARGV[7])) do
    local id, name_of_key, milliseconds, until_start = message[4], message[8], message[9], message[10]
    local mine = name_of_key == '' or take(name_of_key, id, milliseconds, until_start) == id
    answer[#answer + 1] = mine and post('-', message, at) or 0
end
redis.call('HSET', key('ticks'), entry, last_run .. ' ' .. runs)
return answer
