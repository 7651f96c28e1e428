-- ARGV: prefix, MessagePack [[list, body, priority, id, info, due, once, name of its key or "", milliseconds,
-- until its start (0 or 1)], …], the sender's line, the number of this call on it, and 1 if that is called again because
-- its answer was lost. Returns for each message the id of the job that has its key.
local line, call = key('line:' .. ARGV[3]), ARGV[4]
if ARGV[5] == '1' then
    local last = redis.call('GET', line)
    if last then
        local number, holders = cut(last)
        if number == call then return cmsgpack.unpack(holders) end
    end
end
local at = now()

local holders = {}
for number, message in ipairs(cmsgpack.unpack(ARGV[2])) do
    local list, body, priority, id, info, due, once, name, milliseconds, until_start = unpack(message)
    local holder = name == '' and id or take(name, id, milliseconds, until_start)
    holders[number] = holder
    if holder == id and not (once and redis.call('EXISTS', key('job:' .. id), document_key(id)) > 0) then
        push(list, body, priority, id, info, due, at)
    end
end
redis.call('SET', line, call .. '\n' .. cmsgpack.pack(holders), 'EX', 600)
return holders
