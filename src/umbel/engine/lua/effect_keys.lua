-- What the scripts share that keep effects by key.

local function clock()
    local t = redis.call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function effect_key(name) return key('effect:' .. name) end

-- Return state, owner, run, token, when it ends, in milliseconds, and result; nil where there is none.
local function effect_of(name)
    local state, owner, run, token, ends, result =
        unpack(redis.call('HMGET', effect_key(name), 'state', 'owner', 'run', 'token', 'ends', 'result'))
    if not state then return nil end
    return state, owner, run, token, tonumber(ends), result
end

-- Change what is known of an effect; those that may be, or become, uncertain are listed by when.
local function mark_effect(name, state, ends)
    redis.call('HSET', effect_key(name), 'state', state, 'ends', digits(ends))
    redis.call('ZADD', key('effects'), digits(ends), name)
end

local function drop_effect(name)
    redis.call('DEL', effect_key(name))
    redis.call('ZREM', key('effects'), name)
end

-- Keep the result of one that is there.
local function keep_effect(name, result, milliseconds)
    local at = effect_key(name)
    redis.call('HSET', at, 'state', 'done', 'result', result)
    redis.call('PEXPIRE', at, milliseconds)
    redis.call('ZREM', key('effects'), name)
end
