-- As a list of values the condition made SQLite build a table of them, twice with every change of an order's state.
DROP INDEX orders_unsure;
CREATE INDEX orders_unsure ON orders (state, due_at, id) WHERE state = 1 OR state = 2 OR state = 4 OR state = 5;
