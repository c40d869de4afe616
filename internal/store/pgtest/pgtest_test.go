package pgtest_test

import (
	"database/sql"
	"testing"

	"github.com/chatmed/chatmed/internal/store/pgtest"
)

func TestStartGivesEachTestItsOwnDatabase(t *testing.T) {
	first, second := pgtest.Start(t), pgtest.Start(t)
	if first == second {
		t.Fatalf("both are %s", first)
	}
	for _, url := range []string{first, second} {
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		if _, err := db.ExecContext(t.Context(), `CREATE TABLE mine (id BIGINT)`); err != nil {
			t.Fatal(err)
		}
	}
}
