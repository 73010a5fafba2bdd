-- Orders whose raw answers are old enough to be pruned, when their order isn't: looked at again from time to time.
CREATE TABLE prune_later (
    order_id INTEGER PRIMARY KEY
) STRICT;
