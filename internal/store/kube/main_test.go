package kube

import (
	"testing"

	"github.com/tierwall/tierwall/internal/modeltest"
)

func TestMain(m *testing.M) { modeltest.Main(m, 200, 1000) }
