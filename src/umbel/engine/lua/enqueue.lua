-- ARGV: prefix, MessagePack [[list, body, priority, id, info, due, once], …], the sender's line, the number of this call on
-- it, and 1 if that is called again because its answer was lost. Returns how many were new.
local line, call = key('line:' .. ARGV[3]), ARGV[4]
if ARGV[5] == '1' then
    local last = redis.call('GET', line)
    if last then
        local number, counted = cut(last)
        if number == call then return tonumber(counted) end
    end
end
local at = now()
local new = 0
-- Whether the message of a job's record is nowhere: nobody holds it, and the list is gone in which it waited.
local function is_gone(id, record)
    local where = cut(record)
    if string.sub(where, 1, 1) ~= 'q' or redis.call('EXISTS', string.sub(where, 2)) == 1 then return false end
    return not is_held(id)
end

-- Of a message that is known to be lost neither a record that leads nowhere counts nor a passing state: once is 2 then.
local function known(id, once)
    if once ~= 2 then return redis.call('EXISTS', key('job:' .. id), document_key(id)) > 0 end
    local record = redis.call('GET', key('job:' .. id))
    if record and not is_gone(id, record) then return true end
    local guard = guard_of(id)
    if guard then return guard[2] == 1 end
    return redis.call('EXISTS', document_key(id)) == 1
end
for _, message in ipairs(cmsgpack.unpack(ARGV[2])) do
    local list, body, priority, id, info, due, once = unpack(message)
    if not (once and id ~= '' and known(id, once)) then
        push(list, body, priority, id, info, due, at)
        new = new + 1
    end
end
redis.call('SET', line, call .. '\n' .. new, 'EX', 600)
return new
