//! The model under test, as the code generator writes them.

use ksdsl_runtime::generated::*;

/// Kernels that more than one layer uses.
#[derive(Clone, Debug)]
pub(crate) struct Shared<E: Dtype, D: Storage<E>> {
    /// Visits: `s1.0.conv`, `s1.1.conv`, `head.conv`.
    pub(crate) conv_weight: Tensor<Rank4<8, 8, 3, 3>, E, D>,
}

/// The shared kernels of one pass.
pub(crate) struct Visits<E: Scalar, D: Backend<E>> {
    pub(crate) conv_weight: Bank<Bound<Rank4<8, 8, 3, 3>, E, D>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Stem<E: Dtype, D: Storage<E>> {
    pub(crate) conv_weight: Tensor<Rank4<8, 3, 3, 3>, E, D>,
    pub(crate) conv_bias: Tensor<Rank1<8>, E, D>,
}

#[derive(Clone, Debug)]
pub(crate) struct Basic<E: Dtype, D: Storage<E>> {
    pub(crate) bn: BatchNorm<8, E, D>,
    pub(crate) reduce_weight: Tensor<Rank2<2, 8>, E, D>,
    pub(crate) expand_weight: Tensor<Rank2<8, 2>, E, D>,
}

#[derive(Clone, Debug)]
pub(crate) struct Model<E: Dtype, D: Storage<E>> {
    pub(crate) shared: Shared<E, D>,
    pub(crate) stem: Stem<E, D>,
    pub(crate) s1: Repeat<Basic<E, D>, 2>,
    pub(crate) linear_weight: Tensor<Rank2<5, 8>, E, D>,
    pub(crate) linear_bias: Tensor<Rank1<5>, E, D>,
}

/// 3x3 8->8, 3x3 3->8 with bias, two blocks (batch norm and two linears), linear with bias.
pub(crate) const PARAMETERS: usize = 9 * 8 * 8 + (9 * 3 * 8 + 8) + 2 * (2 * 8 + 2 * 8 * 2) + (8 * 5 + 5);

impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Shared<E, D> {
    type To<E2: Dtype, D2: Device<E2>> = Shared<E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            Self::tensor(
                "conv_weight",
                |s| &s.conv_weight,
                |s| &mut s.conv_weight,
                TensorOptions::reset_with(|t| init::normal(t, 0.2)),
            ),
            |conv_weight| Shared { conv_weight },
        )
    }
}

impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Stem<E, D> {
    type To<E2: Dtype, D2: Device<E2>> = Stem<E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::tensor(
                    "conv.weight",
                    |s| &s.conv_weight,
                    |s| &mut s.conv_weight,
                    TensorOptions::reset_with(|t| init::uniform(t, 0.3)),
                ),
                Self::tensor(
                    "conv.bias",
                    |s| &s.conv_bias,
                    |s| &mut s.conv_bias,
                    TensorOptions::reset_with(|t| init::constant(t, 0.125)),
                ),
            ),
            |(conv_weight, conv_bias)| Stem { conv_weight, conv_bias },
        )
    }
}

impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Basic<E, D> {
    type To<E2: Dtype, D2: Device<E2>> = Basic<E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::module("bn", |s| &s.bn, |s| &mut s.bn),
                Self::tensor(
                    "se.reduce.weight",
                    |s| &s.reduce_weight,
                    |s| &mut s.reduce_weight,
                    TensorOptions::reset_with(|t| init::uniform(t, 0.35)),
                ),
                Self::tensor(
                    "se.expand.weight",
                    |s| &s.expand_weight,
                    |s| &mut s.expand_weight,
                    TensorOptions::reset_with(|t| init::uniform(t, 0.7)),
                ),
            ),
            |(bn, reduce_weight, expand_weight)| Basic {
                bn,
                reduce_weight,
                expand_weight,
            },
        )
    }
}

impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Model<E, D> {
    type To<E2: Dtype, D2: Device<E2>> = Model<E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::module("shared", |s| &s.shared, |s| &mut s.shared),
                Self::module("stem", |s| &s.stem, |s| &mut s.stem),
                repeat_field::<Self, Basic<E, D>, 2>("s1.", 0, |s| &s.s1, |s| &mut s.s1),
                Self::tensor(
                    "head.linear.weight",
                    |s| &s.linear_weight,
                    |s| &mut s.linear_weight,
                    TensorOptions::reset_with(|t| init::uniform(t, 0.35)),
                ),
                Self::tensor(
                    "head.linear.bias",
                    |s| &s.linear_bias,
                    |s| &mut s.linear_bias,
                    TensorOptions::reset_with(|t| init::uniform(t, 0.35)),
                ),
            ),
            |(shared, stem, s1, linear_weight, linear_bias)| Model {
                shared,
                stem,
                s1,
                linear_weight,
                linear_bias,
            },
        )
    }
}

impl<E: Scalar, D: Backend<E>> Shared<E, D> {
    pub(crate) fn bind<T: Tape<E, D>>(&self, context: &mut Context<E, D, T>) -> Result<Visits<E, D>, D::Err> {
        let conv_weight = Bound::new(&self.conv_weight, context)?;
        Ok(Visits {
            conv_weight: Bank::new(vec![conv_weight], &[(0, 3)]),
        })
    }
}

impl<E: Scalar, D: Backend<E>> Basic<E, D> {
    pub(crate) fn forward<B: Dim, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        shared: &mut Visits<E, D>,
        x: Map<B, 8, 8, 8, E, D, T>,
    ) -> Result<Map<B, 8, 8, 8, E, D, T>, D::Err> {
        let (x, skip) = x.fork()?;
        let x: Map<B, 8, 8, 8, E, D, T> =
            op::Conv::<Stride<1, 1>, Pad<1, 1, 1, 1>, Dilation<1, 1>, 1>::apply(x, shared.conv_weight.visit(), NoBias)?;
        let x = self.bn.apply(pass, x, 1e-5, 0.1)?;
        let (x, squeeze) = x.fork()?;
        let g = op::global_avg_pool(squeeze)?;
        let g: Flat<B, 2, E, D, T> = op::linear(g, &self.reduce_weight, NoBias)?;
        let g = op::relu(g)?;
        let g: Flat<B, 8, E, D, T> = op::linear(g, &self.expand_weight, NoBias)?;
        let g = op::sigmoid(g)?;
        let x = op::gate(x, g)?;
        let x = op::add(x, skip)?;
        op::relu(x)
    }
}

pub(crate) type Input<B, E, D, T> = Tensor<(B, Const<3>, Const<8>, Const<8>), E, D, T>;
pub(crate) type Logits<B, E, D, T> = Tensor<(B, Const<5>), E, D, T>;

impl<E: Scalar, D: Backend<E>> Model<E, D> {
    pub(crate) fn run<B: Dim, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        x: Input<B, E, D, T>,
    ) -> Result<Logits<B, E, D, T>, D::Err> {
        let mut x = Map::<B, 3, 8, 8, E, D, T>::read(x)?;
        let shared = self.shared.bind(x.context_mut())?;
        self.run_with(pass, shared, x)
    }

    pub(crate) fn run_with<B: Dim, T: Tape<E, D>>(
        &self,
        pass: &mut Pass<E, D>,
        mut shared: Visits<E, D>,
        x: Map<B, 3, 8, 8, E, D, T>,
    ) -> Result<Logits<B, E, D, T>, D::Err> {
        let stem = &self.stem;
        let mut x: Map<B, 8, 8, 8, E, D, T> =
            op::Conv::<Stride<1, 1>, Pad<1, 1, 1, 1>, Dilation<1, 1>, 1>::apply(x, &stem.conv_weight, &stem.conv_bias)?;
        for block in self.s1.iter() {
            x = block.forward(pass, &mut shared, x)?;
        }
        let x: Map<B, 8, 4, 4, E, D, T> =
            op::Conv::<Stride<2, 2>, Pad<1, 1, 1, 1>, Dilation<1, 1>, 1>::apply(x, shared.conv_weight.visit(), NoBias)?;
        let x = op::dropout(pass, x, 0.25)?;
        let x: Flat<B, 8, E, D, T> = op::global_avg_pool(x)?;
        let x: Flat<B, 5, E, D, T> = op::linear(x, &self.linear_weight, &self.linear_bias)?;
        x.into_tensor()
    }
}

impl<E: Scalar, D: Backend<E>> BuildOnDevice<D, E> for Model<E, D> {
    type Built = Model<E, D>;
}

impl<B: Dim, E: Scalar, D: Backend<E>> Module<Input<B, E, D, NoneTape>> for Model<E, D> {
    type Output = Logits<B, E, D, NoneTape>;
    type Error = D::Err;

    fn try_forward(&self, x: Input<B, E, D, NoneTape>) -> Result<Self::Output, D::Err> {
        let mut pass = Pass::inference(x.device());
        self.run(&mut pass, x)
    }
}

impl<B: Dim, E: Scalar, D: Backend<E>> ModuleMut<Input<B, E, D, OwnedTape<E, D>>> for Model<E, D> {
    type Output = Logits<B, E, D, OwnedTape<E, D>>;
    type Error = D::Err;

    fn try_forward_mut(&mut self, x: Input<B, E, D, OwnedTape<E, D>>) -> Result<Self::Output, D::Err> {
        let mut pass = Pass::training(x.device());
        let y = self.run(&mut pass, x)?;
        pass.update_running_statistics(self)?;
        Ok(y)
    }
}
