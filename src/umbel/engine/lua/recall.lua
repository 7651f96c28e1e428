-- Put the packed crate back to the heads of its queues. ARGV: prefix. Returns how many messages that were.
local back = 0
while true do
    -- The last first, so that the first comes to stand at the very head.
    local packed = redis.call('RPOP', key('crate:messages'))
    if not packed then break end
    local kind, more, list, element = unpack(cmsgpack.unpack(packed))
    local _, _, _, _, _, id = read(element)
    local queue = parts_of(list)
    if kind == 'd' then
        place(id, 'd' .. postpone(list, element, id, more))
    else
        if kind == 'f' then redis.call('RPUSH', key('front:' .. queue), more .. '\n' .. list .. '\n' .. element)
        elseif kind == 's' then redis.call('RPUSH', key('suspect:' .. queue), list .. '\n' .. element)
        else enlist('RPUSH', list, element) end
        place(id, kind .. list)
    end
    back = back + 1
end
while redis.call('EXISTS', key('crate:letters')) == 1 do
    redis.call('RPUSH', key('dead'), redis.call('RPOP', key('crate:letters')))
end
while redis.call('EXISTS', key('crate:dead')) == 1 do
    local number, head, payload, failures = unpack(redis.call('LPOP', key('crate:dead'), 4))
    head = cmsgpack.unpack(head)
    -- Its job may have died again meanwhile.
    if redis.call('HEXISTS', key('dead:keys'), head[1]) == 0 then inter(number, head, payload, failures) end
end
redis.call('DEL', key('crate'), key('crate:batches'), key('crate:effects'))
return back
