--- What the maker of a trainable tensor asks of optimizers:
-- hints[tensor] = { decay =, grad_limit =, grad_scale =, lr_scale = }.
--
--   decay       false: weight decay passes this tensor by, unless its group sets weight_decay itself
--   grad_limit  the gradient is clamped to +-grad_limit before the update, unless its group says
--   grad_scale  the gradient is multiplied by it first
--   lr_scale    times the learning rate of its group
--
-- Keys are weak: a hint lives as long as its tensor.

return setmetatable({}, { __mode = "k" })
