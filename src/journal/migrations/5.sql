-- An order in flight is in `attempts_open`: here it came with each claim and went with each answer, for nobody.
DROP INDEX orders_unsure;
CREATE INDEX orders_unsure ON orders (state, due_at, id) WHERE state = 2 OR state = 4 OR state = 5;
