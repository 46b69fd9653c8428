package analyze_test

import (
	"testing"

	"github.com/tierwall/tierwall/internal/modeltest"
)

func TestMain(m *testing.M) { modeltest.Main(m, 1000, 5000) }
