-- What a process held goes back, and its lease ends.
-- ARGV: prefix, token, crash limit, crashed (0 or 1), MessagePack [started seqs], MessagePack [overdue seqs], the verdict of
-- the overdue, and for a process of another host its beat that stood still. Returns [how many messages that freed, how many
-- of them had started].
local token, limit, crashed, verdict, beat = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', ARGV[7], ARGV[8]
local held = key('held:' .. token)
local started, overdue = {}, {}
for _, seq in ipairs(cmsgpack.unpack(ARGV[5])) do started[digits(seq)] = true end
for _, seq in ipairs(cmsgpack.unpack(ARGV[6])) do overdue[digits(seq)] = true end
relieve()
-- It has been renewed since it was looked at: somebody lives there.
if beat ~= '' and tonumber(redis.call('ZSCORE', key('beats'), token) or 0) ~= tonumber(beat) then return {0, 0} end
redis.call('ZREM', key('beats'), token)
redis.call('HDEL', key('epochs'), token)
if redis.call('HDEL', key('leases'), token) == 0 then return {0, 0} end
land_all(token)
local all = redis.call('HGETALL', held)
local messages, hit = {}, 0
for at = 1, #all, 2 do
    messages[#messages + 1] = {tonumber(all[at]), all[at], whole(all[at + 1], token)}
    if started[all[at]] then hit = hit + 1 end
end
-- The newest first, so that the oldest comes to stand at the very head.
table.sort(messages, function(one, other) return one[1] > other[1] end)

-- What had started on another host is not known here. A job that takes its whole host (or container) along comes back
-- from there again and again: the third time it is suspected of that, and runs alone.
local function is_host_killer(head, rest)
    if beat == '' then return false end
    local _, element = cut(rest)
    local _, _, _, deliveries = read(element)
    return deliveries >= 2 or string.sub(head, 1, 1) == 's'
end

for _, message in ipairs(messages) do
    local head, rest = cut(message[3])
    local condemned = string.sub(head, 2) ~= ''
    if overdue[message[2]] and not condemned then
        take_back('f' .. verdict .. '\n' .. rest, 1)
    elseif crashed and started[message[2]] and not condemned then
        local list, element = cut(rest)
        strike(list, element, hit == 1 and #messages == 1, limit)
    elseif not condemned and is_host_killer(head, rest) then
        local list, element = cut(rest)
        strike(list, element, string.sub(head, 1, 1) == 's' and #messages == 1, limit)
    else
        take_back(message[3], 1)
    end
end
redis.call('DEL', held)
redis.call('HDEL', key('heads'), token)
return {#messages, hit}
