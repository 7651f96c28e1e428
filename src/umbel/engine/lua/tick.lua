-- A schedule entry's tick: its messages, and the fact that it has run, in one step.
-- ARGV: prefix, leaders' name, term, entry, last run, runs, MessagePack [[list, body, priority, id, info, due, once, name of
-- its key or "", milliseconds, until its start (0 or 1)], …]; what finds its key taken is left out.
-- Returns 0 if another one leads by now; 1 also if this very tick was stored before, and its answer was lost.
local name, term, entry, last_run, runs = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local current = redis.call('HGET', key('leaders'), name)
if not current or string.match(current, '^%S+') ~= term then return 0 end
local known = redis.call('HGET', key('ticks'), entry)
if known and tonumber(string.match(known, '%d+$')) >= tonumber(runs) then return 1 end
local at = now()
for _, message in ipairs(cmsgpack.unpack(ARGV[7])) do
    local list, body, priority, id, info, due, _, name_of_key, milliseconds, until_start = unpack(message)
    if name_of_key == '' or take(name_of_key, id, milliseconds, until_start) == id then
        push(list, body, priority, id, info, due, at)
    end
end
redis.call('HSET', key('ticks'), entry, last_run .. ' ' .. runs)
return 1
