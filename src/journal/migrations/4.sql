-- Beside a charge whose id isn't known too: an export can clear what is presumed beside what one told of.
DROP INDEX orders_presumed;
CREATE INDEX orders_presumed ON orders (rested_after, id) WHERE presumed > 0 AND charged > 0;
